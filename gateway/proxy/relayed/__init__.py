"""Requests that are passed to a provider as they come, and answers passed back: bytes both ways.

What the rest of the proxy reads and writes anew (chat, embeddings) is held whole and small. Files,
audio, images and whatever `/passthrough` asks for may be hundreds of megabytes, so that nothing of
them is held but what is on its way. In the order in which to read them:

    incoming   the caller's body as it arrives, and the caller's leaving; one task receives
    form_body  a form in which the name of the model is replaced on its way
    spool      what has come of a form before its model is known
    headers    which of a caller's headers go on to a provider, and which of an answer's come back
    upload     a call whose body is still on its way
    attempt    one attempt: its lease, its deadlines, its row in the record
    answer     the answer's bytes on their way to the caller, and the usage in them
    batch_cost  what a batch has cost, charged once
    single     a request that one deployment alone can serve
    routed     a request for a model: attempts over its deployments

A body that is whole before it is sent, since it is small, can be sent again; any other cannot, and
its request makes one attempt.
"""
