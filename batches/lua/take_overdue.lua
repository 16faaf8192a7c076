-- Batches whose time is up, their due time moved on so that the next look does not find them again.
-- KEYS 1 due     ARGV 1 now  2 due at  3 how many at most
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for _, id in ipairs(ids) do redis.call('ZADD', KEYS[1], ARGV[2], id) end
return ids
