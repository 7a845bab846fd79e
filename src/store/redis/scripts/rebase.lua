-- Puts a partition on a new base, if its head is still the one that was found.
--
-- KEYS: 1 head, 2 markers, 3 log, 4 fence. ARGV: 1 '1' when there was a head, 2 that head, 3 epoch,
-- 4 lowest seq, 5 commit id, 6 markers, 7 channel.

local head = redis.call('GET', KEYS[1])
if ARGV[1] == '1' then
  if head ~= ARGV[2] then return {'moved'} end
elseif head then
  return {'moved'}
end
local last = '0'
if redis.call('EXISTS', KEYS[3]) == 1 then
  local about = redis.call('XINFO', 'STREAM', KEYS[3])
  for n = 1, #about, 2 do
    if about[n] == 'last-generated-id' then last = string.match(about[n + 1], '^(%d+)-') end
  end
end
if #last > 15 or #ARGV[4] > 15 then
  return redis.error_reply('ERR the sequence number is out of range')
end
local seq = string.format('%.0f', math.max(tonumber(last), tonumber(ARGV[4])) + 1)
-- As in a commit: it has to work when the server is out of memory.
redis.call('DEL', KEYS[4])
redis.call('XADD', KEYS[3], seq .. '-0', 'c', ARGV[5])
redis.call('SET', KEYS[2], ARGV[6])
local next_head = ARGV[3] .. ' ' .. seq .. ' ' .. ARGV[5]
redis.call('SET', KEYS[1], next_head)
redis.pcall('PUBLISH', ARGV[7], next_head)
return {'done', seq}
