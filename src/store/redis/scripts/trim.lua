-- Deletes old entries of the log, never one of the newest.
--
-- KEYS: 1 head, 2 log. ARGV: 1 the last entry that may go, 2 how many are kept below the head.

local head = redis.call('GET', KEYS[1])
if not head then return {'missing'} end
local seq = string.match(head, '^%d+ (%d+) %x+$')
if not seq or #seq > 15 then return {'missing'} end
local up_to = tonumber(seq) - tonumber(ARGV[2])
if #ARGV[1] <= 15 then up_to = math.min(up_to, tonumber(ARGV[1])) end
if up_to < 1 then return {'done'} end
redis.call('XTRIM', KEYS[2], 'MINID', string.format('%.0f', up_to + 1) .. '-0')
return {'done'}
