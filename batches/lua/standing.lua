-- What is pending, batch by batch, as of one moment.
-- KEYS 1 books  2 since     ARGV 1 most batches  2 what the batches' keys begin with
-- Returns {handed over, messages of the batches that are there, batches whose key is gone, the ids of those that
-- are there, ...}, or nothing where more are pending.
if redis.call('ZCARD', KEYS[2]) > tonumber(ARGV[1]) then return false end
local messages, gone, found = 0, 0, {0, 0, 0}
for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  local of_batch = redis.call('HGET', ARGV[2] .. id, 'messages')
  if of_batch then
    messages, found[#found + 1] = messages + of_batch, id
  else
    gone = gone + 1
  end
end
found[1], found[2], found[3] = tonumber(redis.call('HGET', KEYS[1], 'handed_over') or '0'), messages, gone
return found
