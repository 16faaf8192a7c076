#!lua flags=allow-oom
-- A worker claims the batch that has been due longest, and small ones after it; their due times move to the
-- end of the lease.
-- KEYS 1 due     ARGV 1 now  2 due at  3 what the batches' keys begin with  4 at most so many batches
--      5 at most so many messages  6 at most so many bytes (the first batch may have more)
-- Returns {id, body, attempts before this one that have not ended} of each.
local function number(found) return tonumber(found or '0') end
local taken, messages, bytes = {}, 0, 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[4])) do
  local key = ARGV[3] .. id
  local found = redis.call('HMGET', key, 'messages', 'bytes', 'starts', 'apart')
  if not found[1] then
    redis.call('ZREM', KEYS[1], id) -- somebody deleted its key
  else
    messages, bytes = messages + found[1], bytes + found[2]
    -- One at which a worker died, by itself or among others, is taken by itself: it may be what killed it.
    local apart = number(found[3]) > 0 or found[4]
    if #taken > 0 and (apart or messages > number(ARGV[5]) or bytes > number(ARGV[6])) then break end
    taken[#taken + 1] = {id, redis.call('HGET', key, 'body'), number(found[3])}
    redis.call('ZADD', KEYS[1], ARGV[2], id)
    if apart then break end
  end
end
if #taken == 1 then
  redis.call('HINCRBY', ARGV[3] .. taken[1][1], 'starts', 1)
else
  for _, one in ipairs(taken) do redis.call('HSET', ARGV[3] .. one[1], 'apart', 1) end
end
return taken
