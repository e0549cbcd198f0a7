"""Amazon Bedrock's Converse (docs.aws.amazon.com/bedrock, "Converse" and "ConverseStream").

    dialect   the parts put together as `base.Dialect` wants them, and which path asks for which
    request   what of a request concerns the gateway, and how it goes to a provider
    frames    events as binary frames, which is how Bedrock streams
    event     one event: what of it is decoded
    stream    the rewriter of a stream: provider's bytes in, caller's bytes out
    answer    a whole answer, and what came instead of a stream or of a whole answer
    usage     token counts
    errors    Amazon's errors, read and written
    needs     what a request needs of its model
    translated/  the way to and from other dialects

The model and whether it streams stand in the path, so a dialect is made for each request, and no
answer says which model gave it. Read `dialect`, `request`, then `stream`. Types are those of
botocore 1.44, `data/bedrock-runtime/2023-09-30/service-2.json`.
"""
