"""Small ASGI apps that the tests of serving run, some of them in processes of their own."""
