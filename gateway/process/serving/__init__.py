"""What serving needs of the configuration and tells of it.

policy  the part of the configuration that the server needs
"""
