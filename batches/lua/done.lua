-- A batch's rows are committed: forgets it, once.
-- KEYS 1 batch  2 due  3 since  4 books     ARGV 1 id
-- Returns 1 if it was there.
local found = redis.call('HMGET', KEYS[1], 'messages', 'bytes')
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
if not found[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HINCRBY', KEYS[4], 'pending_messages', -found[1])
redis.call('HINCRBY', KEYS[4], 'pending_bytes', -found[2])
return 1
