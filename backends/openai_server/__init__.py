"""What the adapter over any OpenAI-compatible server is made of.

places     options -> which server, model and key an arm goes to, pure
dialect    whose server it is -> what more it can be asked and what its answers tell, pure
reading    streamed events -> one Generation, pure
counters   /metrics before and after -> DraftCounts, pure
session    requests
"""
