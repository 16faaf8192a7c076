#!lua flags=allow-oom
-- A worker claims a batch: counts the attempt, and moves the due time to the end of the lease.
-- KEYS 1 batch  2 due     ARGV 1 id  2 due at
-- Returns nothing where the batch is gone, else {body, attempts before this one that have not ended}.
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
local starts = redis.call('HINCRBY', KEYS[1], 'starts', 1)
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
return {redis.call('HGET', KEYS[1], 'body'), starts - 1}
