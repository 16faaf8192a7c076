#!lua flags=allow-oom
-- The owner of a bridge's name renews its lease.
-- KEYS 1 bridge  2 claim     ARGV 1 owner's token  2 the lease in ms  3 the bridge's client id
-- Returns 1, or 0 where the name is another's.
local owner = redis.call('HGET', KEYS[1], 'owner')
if not owner then
  -- Redis was emptied: as in hand_over.lua.
  redis.call('HSET', KEYS[1], 'client_id', ARGV[3], 'owner', ARGV[1])
elseif owner ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return 1
