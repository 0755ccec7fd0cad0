"""A worker under thousands of requests that nobody sane would send, while somebody well-behaved goes on reading."""
