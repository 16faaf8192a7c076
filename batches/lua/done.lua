#!lua flags=allow-oom
-- The rows of batches are committed: forgets them, each once.
-- KEYS 1 due  2 since  3 books  4... the batches     ARGV 1... their ids
-- Returns how many were there.
local batches, messages, bytes = 0, 0, 0
redis.call('ZREM', KEYS[1], unpack(ARGV))
redis.call('ZREM', KEYS[2], unpack(ARGV))
for place = 4, #KEYS do
  local found = redis.call('HMGET', KEYS[place], 'messages', 'bytes')
  if found[1] then
    redis.call('DEL', KEYS[place])
    batches, messages, bytes = batches + 1, messages + found[1], bytes + found[2]
  end
end
if batches > 0 then
  redis.call('HINCRBY', KEYS[3], 'pending_messages', -messages)
  redis.call('HINCRBY', KEYS[3], 'pending_bytes', -bytes)
end
return batches
