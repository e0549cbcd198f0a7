"""What a busy dashboard costs the requests for models: the same loads with and without it.

plan     what people do on the dashboard, and what they got
crowd    a process that does it: open pages, and people who go from page to page
session  the gateway under each load, quiet and busy in turn
"""
