"""What is made of the rows, minute by minute, hour by hour and day by day, and what is shown of it."""
