"""The operations of OpenAI's API that answer with numbers: embeddings and moderations.

    dialect  the two, each as `base.Dialect` wants it
    request  a request, of which only the model is read
    answer   an answer under the requested name, and its usage

They are never streamed, and no text is generated. Answers are large, megabytes of numbers or of
base64, and are passed on as they came: only the members around them are read.
"""
