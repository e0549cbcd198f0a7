"""The HTTP/1.1 client side on Trio: dial, pool, exchange. The one home of h11 and httpx."""
