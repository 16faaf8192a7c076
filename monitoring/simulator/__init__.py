"""Boards that are not there, over MQTT that is: what `manage.py simulate` runs. No Django in here.

boards.py: what the sensors would measure at a moment; faults.py: what goes wrong on the way;
sender.py: the connections to the broker; simulation.py: when what is sent, and the sums.
"""
