"""The operations of OpenAI's API whose answers are images, sound or the text of a recording.

    dialect  each operation, as `base.Dialect` wants it
    request  a request, of which only the model is read

Their answers do not name the model, so that they are passed on as they come, streamed or not, large
or small (`proxy/relayed/`). Forms are passed on while they come in; only the model's name in them
is another.
"""
