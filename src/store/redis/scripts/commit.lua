-- One commit: checks in the documented order, then writes everything. A script is isolated but not
-- rolled back: nothing may fail after the first write, so types are looked at before it.
--
-- KEYS: 1 stored answer, 2 head, 3 markers, 4 log, 5 fence, 6 subject's record, then what is put,
--       what is deleted, and the sets that change.
-- ARGV: 1-3 epoch, seq and id of the remembered head, 4 generation (8 bytes), 5 version of the
--       subject (8 bytes, empty: not asked), 6 commit id, 7 new version, 8 until when the answer is
--       kept, 9 '1' when it only takes access away, 10 channel, 11-14 how many puts, deletes, set
--       changes and events; then (value, sweep time or '') of each put, (member, score or '') of
--       each set change, and the events.

local FIRST_KEY, FIRST_ARGUMENT = 7, 15

-- Lua counts in doubles: 15 digits are exact.
local function exact(digits)
  return #digits <= 15
end

-- The version that a sealed value claims: big-endian bytes; false when it is none.
local function claimed(value)
  if #value < 10 or string.byte(value, 1) ~= 1 then return false end
  if #value < 10 + string.byte(value, 10) + 32 then return false end
  return string.sub(value, 2, 9)
end

local stored = redis.call('GET', KEYS[1])
if stored then return {'again', stored} end
local head = redis.call('GET', KEYS[2])
if not head then return {'missing', 'head'} end
local markers = redis.call('GET', KEYS[3])
if not markers then return {'missing', 'markers'} end

local epoch, seq, id = string.match(head, '^(%d+) (%d+) (%x+)$')
if not epoch or #id ~= 32 then return {'head'} end
if not exact(seq) or not exact(ARGV[2]) then
  return redis.error_reply('ERR the sequence number is out of range')
end
local known = tonumber(ARGV[2])
if epoch ~= ARGV[1] or tonumber(seq) < known then return {'head'} end
if tonumber(seq) == known then
  if id ~= ARGV[3] then return {'head'} end
else
  local place = ARGV[2] .. '-0'
  local entry = redis.call('XRANGE', KEYS[4], place, place)[1]
  if not entry or entry[2][1] ~= 'c' or entry[2][2] ~= ARGV[3] then return {'head'} end
end
if claimed(markers) ~= ARGV[4] then return {'generation'} end
if ARGV[5] ~= '' then
  local record = redis.call('GET', KEYS[6])
  local version = string.rep('\0', 8)
  if record then version = claimed(record) end
  if version ~= ARGV[5] then return {'version'} end
end

local puts, deletes = tonumber(ARGV[11]), tonumber(ARGV[12])
local changes, events = tonumber(ARGV[13]), tonumber(ARGV[14])
local first_set = FIRST_KEY + puts + deletes
-- Fails on a key that holds anything but a set.
for n = 0, changes - 1 do redis.call('ZCARD', KEYS[first_set + n]) end

local next_seq = string.format('%.0f', tonumber(seq) + 1)
local argument = FIRST_ARGUMENT + 2 * puts + 2 * changes
local fields = {'c', ARGV[6]}
for n = 0, events - 1 do
  fields[#fields + 1] = 'e' .. n
  fields[#fields + 1] = ARGV[argument + n]
end

-- Nor is there anything that this user may not run: what it stopped at would be half a commit.
local may = redis.acl_check_cmd
if may and not (may('XADD', KEYS[4], '*', 'c', '') and may('SET', KEYS[2], '')
    and may('DEL', KEYS[5]) and may('ZADD', KEYS[2], '0', '') and may('ZREM', KEYS[2], '')) then
  return redis.error_reply('NOPERM the user of the store may not run all commands of a commit')
end

-- A first write that frees memory may be followed by any; every other commit begins with one that
-- a server out of memory refuses.
if ARGV[9] == '1' then redis.call('DEL', KEYS[5]) end
-- The log comes first: it refuses an entry that is not above all others, and a wrong type.
local appended = redis.pcall('XADD', KEYS[4], next_seq .. '-0', unpack(fields))
if type(appended) == 'table' and appended.err then
  if string.find(appended.err, 'equal or smaller', 1, true) then return {'head'} end
  return appended
end

argument = FIRST_ARGUMENT
for n = 0, puts - 1 do
  local key, value, sweep = KEYS[FIRST_KEY + n], ARGV[argument], ARGV[argument + 1]
  if sweep == '' then
    redis.call('SET', key, value)
  else
    redis.call('SET', key, value, 'PXAT', sweep)
  end
  argument = argument + 2
end
for n = 0, deletes - 1 do redis.call('DEL', KEYS[FIRST_KEY + puts + n]) end
for n = 0, changes - 1 do
  local set, member, score = KEYS[first_set + n], ARGV[argument], ARGV[argument + 1]
  if score == '' then
    redis.call('ZREM', set, member)
  else
    redis.call('ZADD', set, score, member)
  end
  argument = argument + 2
end
redis.call('SET', KEYS[2], epoch .. ' ' .. next_seq .. ' ' .. ARGV[6])
redis.call('SET', KEYS[1], ARGV[7] .. ' ' .. next_seq, 'PXAT', ARGV[8])
-- Everything is written: who may not publish is told by the subscription, not here.
redis.pcall('PUBLISH', ARGV[10], epoch .. ' ' .. next_seq .. ' ' .. ARGV[6])
return {'done', ARGV[7] .. ' ' .. next_seq}
