-- Nothing is wrong with the batch: takes the attempt back, moves its due time on, a little longer each time.
-- KEYS 1 batch  2 due     ARGV 1 id  2 now  3 longest delay in seconds
-- Returns the delay in seconds, or -1 where the batch is gone.
if redis.call('EXISTS', KEYS[1]) == 0 then return '-1' end
redis.call('HINCRBY', KEYS[1], 'starts', -1)
local times = redis.call('HINCRBY', KEYS[1], 'postponed', 1)
local delay = math.min(tonumber(ARGV[3]), 2 ^ (times - 1))
redis.call('ZADD', KEYS[2], tonumber(ARGV[2]) + delay, ARGV[1])
return tostring(delay)
