"""What is passed to a provider unread, in the dialects that its callers' errors are written in.

    dialect  one for each dialect whose clients have errors of their own

Nothing of such a request is translated: `recognised` finds in its
bytes what a record should say.
"""
