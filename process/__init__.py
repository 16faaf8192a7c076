"""What each process of ours does, whatever it is: reads its environment, beats, waits, reports. No Django."""
