#!lua flags=allow-oom
-- Makes a process the owner of a bridge's name, unless another holds a lease of it that has not run out.
-- KEYS 1 bridge  2 claim     ARGV 1 owner's token  2 client id, if the name has none  3 the lease in ms
--      4 token of an owner that is known to have ended ('' for none)
-- Returns {client id}, or {"", token of who holds it, client id ('' where that is not known)}.
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[1] and holder ~= ARGV[4] then
  -- Longer than its life it has only where the clock was set back meanwhile; it would stand for as long as that.
  local left = redis.call('PTTL', KEYS[2])
  if left < 0 or left > tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[2], ARGV[3]) end
  return {'', holder, redis.call('HGET', KEYS[1], 'client_id') or ''}
end
redis.call('HSETNX', KEYS[1], 'client_id', ARGV[2])
redis.call('HSET', KEYS[1], 'owner', ARGV[1])
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[3])
return {redis.call('HGET', KEYS[1], 'client_id')}
