#!lua flags=allow-oom
-- The owner of a bridge's name ends and gives up its lease: the next one need not wait for that to run out.
-- KEYS 1 claim     ARGV 1 owner's token
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
