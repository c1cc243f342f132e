"""What Terraform brings: topics, rights, tables and monitors, out of what the code declares."""
