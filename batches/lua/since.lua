-- The batches that were handed over after the first so many messages.
-- KEYS 1 books  2 the last batches     ARGV 1 messages
-- Returns {handed over, 'id messages', ...}.
local found = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], '+inf')
table.insert(found, 1, redis.call('HGET', KEYS[1], 'handed_over') or '0')
return found
