"""What stands around a gateway: the terminal it was started in, and what is in front of it.

Each module stands for itself:

    terminal        the terminal it was started in, and whether that has been closed
    tls             what a connection is offered, and certificates that are renewed
    proxy_protocol  whose connection it is, by a load balancer's word
"""
