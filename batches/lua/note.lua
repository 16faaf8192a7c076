#!lua flags=allow-oom
-- What a careful worker writes down beside a batch; nothing where the batch is gone.
-- KEYS 1 batch     ARGV field, value, ...
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], unpack(ARGV)) end
return 1
