"""What a person takes home: clips enhanced from file to file."""
