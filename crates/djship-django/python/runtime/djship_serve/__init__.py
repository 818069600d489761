"""What stands between the supplied server and the project: its application, with static files around it."""
