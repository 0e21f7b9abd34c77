#!lua name=pnyx_1
-- The two writes of a lane. Each is atomic: Redis runs nothing else meanwhile, and writes all of it or nothing to its
-- file and its replicas. A library of another version has other names, so that both can be loaded during a rollout.
-- Keys of a lane, in this order: totals, rankings, standing, voters, leaders, places.

-- Values that are unpacked at once: below Lua's limit of 8,000, and a multiple of what the commands take (2 and 4).
local SLICE = 4000

local START_BYTES = 24
local POSITION_BYTES = 32
local OFFSET_ZERO = '\0\0\0\0\0\0\0\0'
local BALLOTS_PART = 8

-- Calls a command with the `count` arguments from `first` on, and returns what is after them.
local function write(command, key, args, first, count)
  local stop = first + count
  while first < stop do
    local last = math.min(first + SLICE, stop) - 1
    redis.call(command, key, unpack(args, first, last))
    first = last + 1
  end
  return stop
end

local function write_rankings(key, args, first, count)
  for index = first, first + count - 1, 2 do
    local field = args[index]
    local value = redis.call('HINCRBY', key, field, args[index + 1])
    -- The ballots come last of a ranking's parts. Without ballots its limbs add up to nothing.
    if value == 0 and field:byte(17) == BALLOTS_PART then
      local ranking = field:sub(1, 16)
      for part = 0, BALLOTS_PART do
        redis.call('HDEL', key, ranking .. string.char(part))
      end
    end
  end
  return first + count
end

local function stamp(key)
  local now = redis.call('TIME')
  redis.call('BITFIELD', key, 'SET', 'i64', '#4', now[1] .. string.format('%06d', now[2]))
end

local function is_below_cut(position)
  return position:byte(POSITION_BYTES) % 2 == 1
end

-- ARGV: where the batch starts (log, offset), the position afterwards, the bytes of a lane's string, the channel, the
-- message, how many arguments each of the six parts has, and the parts: increments of the totals, rankings, standing,
-- voters, leaders, places. Returns 1, or the position that fences.
local function apply(keys, args)
  local totals, start, position = keys[1], args[1], args[2]
  local stored = redis.call('GETRANGE', totals, 0, POSITION_BYTES - 1)
  if stored == '' then
    if start:sub(17) ~= OFFSET_ZERO then
      return stored
    end
    -- What was left of a lane whose position is lost means nothing.
    redis.call('UNLINK', unpack(keys, 2))
    redis.call('SETRANGE', totals, tonumber(args[3]) - 1, '\0')
  elseif #stored < POSITION_BYTES or stored:sub(1, START_BYTES) ~= start
      or (is_below_cut(stored) and not is_below_cut(position)) then
    return stored
  end
  local first = 12 + args[6]
  first = write_rankings(keys[2], args, first, args[7])
  first = write('HSET', keys[3], args, first, args[8])
  first = write('ZADD', keys[4], args, first, args[9])
  first = write('ZADD', keys[5], args, first, args[10])
  write('HSET', keys[6], args, first, args[11])
  write('BITFIELD', totals, args, 12, args[6])
  redis.call('SETRANGE', totals, 0, position)
  stamp(totals)
  redis.call('PUBLISH', args[4], args[5])
  return 1
end

-- KEYS: the lane's, then the staged ones, without totals. ARGV: the position that was seen or nothing, the new string,
-- the channel, the message, and how many entries each staged key has. Returns 1, or the position that fences.
local function replace(keys, args)
  local totals = keys[1]
  local stored = redis.call('GETRANGE', totals, 0, POSITION_BYTES - 1)
  if stored ~= args[1] then
    return stored
  end
  local sizes = {'HLEN', 'HLEN', 'ZCARD', 'ZCARD', 'HLEN'}
  for index, size in ipairs(sizes) do
    if redis.call(size, keys[6 + index]) ~= tonumber(args[4 + index]) then
      return redis.error_reply('STAGED the staged lane is not there any more')
    end
  end
  redis.call('UNLINK', unpack(keys, 1, 6))
  for index = 1, #sizes do
    if args[4 + index] ~= '0' then
      redis.call('RENAME', keys[6 + index], keys[1 + index])
      redis.call('PERSIST', keys[1 + index])
    end
  end
  redis.call('SET', totals, args[2])
  stamp(totals)
  redis.call('PUBLISH', args[3], args[4])
  return 1
end

redis.register_function('pnyx_1_apply', apply)
redis.register_function('pnyx_1_replace', replace)
