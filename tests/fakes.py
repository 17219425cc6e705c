"""Small stand-ins for what lies outside loray; each keeps the contract of what it stands for."""
