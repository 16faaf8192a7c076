-- Hands a batch over: whole or not at all, and once however often it is tried.
-- KEYS  1 batch  2 due  3 since  4 books  5 receipt  6 bridge  7 seen  8 seen:count
-- ARGV  1 id  2 body  3 messages  4 now  5 due at  6 max pending bytes
--       7 receipt to leave  8 its life in seconds (0: for ever)  9 '1': a receipt found decides, whatever it says
--       10 owner's token ('' where there is no bridge)  11 what to remember of redelivery ('' for nothing)
--       12 bytes of one memory  13 how many memories to keep  14 the bridge's client id
-- Returns 'handed over', 'handed over before', 'not owner', 'full', or the receipt found.
if ARGV[10] ~= '' then
  local owner = redis.call('HGET', KEYS[6], 'owner')
  if not owner then
    -- Redis was emptied: the name is nobody's, and the broker's session is still under our client id.
    redis.call('HSET', KEYS[6], 'client_id', ARGV[14], 'owner', ARGV[10])
  elseif owner ~= ARGV[10] then
    return 'not owner'
  end
end
local receipt = redis.call('GET', KEYS[5])
if receipt then
  if receipt == ARGV[7] then return 'handed over before' end
  if ARGV[9] == '1' then return receipt end
end
local bytes = #ARGV[2]
local pending = tonumber(redis.call('HGET', KEYS[4], 'pending_bytes') or '0')
if pending + bytes > tonumber(ARGV[6]) then
  return 'full'
end
redis.call('HSET', KEYS[1], 'body', ARGV[2], 'messages', ARGV[3], 'bytes', bytes)
redis.call('ZADD', KEYS[2], ARGV[5], ARGV[1])
redis.call('ZADD', KEYS[3], ARGV[4], ARGV[1])
redis.call('HINCRBY', KEYS[4], 'handed_over', ARGV[3])
redis.call('HINCRBY', KEYS[4], 'pending_messages', ARGV[3])
redis.call('HINCRBY', KEYS[4], 'pending_bytes', bytes)
if ARGV[8] == '0' then
  redis.call('SET', KEYS[5], ARGV[7])
else
  redis.call('SET', KEYS[5], ARGV[7], 'EX', ARGV[8])
end
if ARGV[11] ~= '' then
  local one = tonumber(ARGV[12])
  redis.call('RPUSH', KEYS[7], ARGV[11])
  local count = redis.call('INCRBY', KEYS[8], #ARGV[11] / one)
  local first = redis.call('LINDEX', KEYS[7], 0)
  while first and count - #first / one >= tonumber(ARGV[13]) do
    redis.call('LPOP', KEYS[7])
    count = redis.call('DECRBY', KEYS[8], #first / one)
    first = redis.call('LINDEX', KEYS[7], 0)
  end
end
return 'handed over'
