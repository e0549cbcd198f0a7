"""What a stream's events have in common, kept from one to the next.

choice_ends  which choices have ended, and whether one was cut
text_form    the form of an event that brings a piece of text, and nothing else that is new
"""
