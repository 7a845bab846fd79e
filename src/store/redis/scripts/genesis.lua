-- The first head, markers and log entry of a partition; what is there already stays.
--
-- KEYS: 1 head, 2 markers, 3 log. ARGV: 1 head, 2 markers, 3 seq, 4 commit id.

local there = redis.call('EXISTS', KEYS[1], KEYS[2], KEYS[3])
if there == 0 then
  redis.call('XADD', KEYS[3], ARGV[3] .. '-0', 'c', ARGV[4])
  redis.call('SET', KEYS[2], ARGV[2])
  redis.call('SET', KEYS[1], ARGV[1])
  return {'done'}
end
if there ~= 3 then return {'broken'} end
return {'there', redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2])}
