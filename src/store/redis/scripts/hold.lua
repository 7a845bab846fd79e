-- Takes a lease, or renews one's own. KEYS: 1 the lease. ARGV: 1 who asks, 2 milliseconds.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return {'no'} end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {'yes'}
