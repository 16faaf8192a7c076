-- The store's side of the books, as of one moment. A script, for a full Redis refuses even to read in MULTI.
-- KEYS 1 books  2 since
-- Returns {handed over, redelivered, pending messages, pending bytes, pending batches, since when (or '')}.
local found = redis.call('HMGET', KEYS[1], 'handed_over', 'redelivered', 'pending_messages', 'pending_bytes')
local oldest = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
for place = 1, 4 do found[place] = found[place] or '0' end
found[5] = redis.call('ZCARD', KEYS[2])
found[6] = oldest[2] or ''
return found
