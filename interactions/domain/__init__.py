"""What an interaction is and which ones are taken; pure."""
