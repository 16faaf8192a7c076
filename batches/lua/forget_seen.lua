#!lua flags=allow-oom
-- The broker has begun a new session: what recognised the redeliveries of the old one is void.
-- KEYS 1 bridge  2 seen  3 seen:count     ARGV 1 owner's token
-- Returns 1, or 0 where the name is another's: then this is the other's memory.
local owner = redis.call('HGET', KEYS[1], 'owner')
if owner and owner ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2], KEYS[3])
return 1
