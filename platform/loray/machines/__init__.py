"""What a process meets where it runs: signals, ports, and the room that a cluster has."""
