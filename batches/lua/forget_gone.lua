#!lua flags=allow-oom
-- Forgets the batches whose key somebody deleted, and counts anew what is left.
-- KEYS 1 due  2 since  3 books     ARGV 1 what the batches' keys begin with
-- Returns how many were forgotten.
local messages, bytes, gone = 0, 0, 0
for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  local found = redis.call('HMGET', ARGV[1] .. id, 'messages', 'bytes')
  if found[1] then
    messages, bytes = messages + found[1], bytes + found[2]
  else
    redis.call('ZREM', KEYS[1], id)
    redis.call('ZREM', KEYS[2], id)
    gone = gone + 1
  end
end
redis.call('HSET', KEYS[3], 'pending_messages', messages, 'pending_bytes', bytes)
return gone
