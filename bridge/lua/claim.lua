-- A worker starts on a batch: counts the attempt, moves its due time on.
-- KEYS 1 batch  2 due     ARGV 1 id  2 due at
-- Returns nothing where the batch is gone, else {body, attempts before this one, touching, crashed}.
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
local starts = redis.call('HINCRBY', KEYS[1], 'starts', 1)
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
local found = redis.call('HMGET', KEYS[1], 'body', 'touching', 'crashed')
return {found[1], starts - 1, found[2] or '', found[3] or ''}
