// What the kernel does for a serial line beyond reading and writing: ioctls on a descriptor that somebody else has open.
// binding.ts has the types, which say what each call does, and what its number means. What throws are mistakes of the caller.
#include <asm/termbits.h>
#include <linux/serial.h>
#include <node_api.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace {

/** As in binding.ts. */
constexpr int kRevision = 1;

/** As PARITIES in binding.ts. */
enum Parity { kNone, kEven, kOdd, kMark, kSpace, kParities };

constexpr size_t kRs485Words = sizeof(serial_rs485) / sizeof(uint32_t);
static_assert(sizeof(serial_rs485) == 32, "as linux/serial.h has had it since 2.6.39");
constexpr size_t kCounts = 7;

/** Reads the arguments of a call: numbers, of which the last may be an array of 32-bit words. */
class Arguments {
 public:
  Arguments(napi_env env, napi_callback_info info) : env_(env) {
    if (napi_get_cb_info(env, info, &count_, values_, nullptr, nullptr) != napi_ok) count_ = 0;
  }

  /** The next one, a whole number from 0 to `max`. */
  bool number(uint32_t max, uint32_t* out) {
    napi_valuetype type = napi_undefined;
    double value = -1;
    if (at_ < count_ && napi_typeof(env_, values_[at_], &type) == napi_ok && type == napi_number &&
        napi_get_value_double(env_, values_[at_], &value) == napi_ok && value >= 0 && value <= max) {
      *out = static_cast<uint32_t>(value);
      if (*out == value) {
        at_++;
        return true;
      }
    }
    return refuse("a number is out of range");
  }

  /** The next one, a Uint32Array of `length`. It is the caller's, and stays where it is until return. */
  bool words(size_t length, uint32_t** out) {
    bool is_array = false;
    napi_typedarray_type type = napi_int8_array;
    size_t found = 0;
    void* data = nullptr;
    if (at_ < count_ && napi_is_typedarray(env_, values_[at_], &is_array) == napi_ok && is_array &&
        napi_get_typedarray_info(env_, values_[at_], &type, &found, &data, nullptr, nullptr) == napi_ok &&
        type == napi_uint32_array && found == length && data != nullptr) {
      *out = static_cast<uint32_t*>(data);
      at_++;
      return true;
    }
    return refuse("a Uint32Array is missing or has another length");
  }

  bool fd(int* out) {
    uint32_t value = 0;
    if (!number(INT32_MAX, &value)) return false;
    *out = static_cast<int>(value);
    return true;
  }

 private:
  bool refuse(const char* text) {
    napi_throw_range_error(env_, nullptr, text);
    return false;
  }

  napi_env env_;
  size_t count_ = 6;
  size_t at_ = 0;
  napi_value values_[6];
};

napi_value answer(napi_env env, int64_t number) {
  napi_value value = nullptr;
  napi_create_int64(env, number, &value);
  return value;
}

/** Of an ioctl that answered `result`. */
napi_value outcome(napi_env env, int result) { return answer(env, result < 0 ? -errno : result); }

/** setLine(fd, baud, dataBits, parity, twoStopBits) */
napi_value set_line(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  int fd = -1;
  uint32_t baud = 0, bits = 0, parity = 0, two_stop_bits = 0;
  if (!arguments.fd(&fd) || !arguments.number(INT32_MAX, &baud) || !arguments.number(8, &bits) ||
      !arguments.number(kParities - 1, &parity) || !arguments.number(1, &two_stop_bits))
    return nullptr;
  termios2 line = {};
  if (ioctl(fd, TCGETS2, &line) < 0) return outcome(env, -1);
  const tcflag_t sizes[] = {CS5, CS6, CS7, CS8};
  const tcflag_t parities[] = {0, PARENB, PARENB | PARODD, PARENB | PARODD | CMSPAR, PARENB | CMSPAR};
  line.c_cflag &= ~(CSIZE | CSTOPB | PARENB | PARODD | CMSPAR | CBAUD | CBAUD << IBSHIFT);
  line.c_cflag |= sizes[bits < 5 ? 3 : bits - 5] | parities[parity] | BOTHER | BOTHER << IBSHIFT;
  if (two_stop_bits) line.c_cflag |= CSTOPB;
  line.c_ispeed = line.c_ospeed = baud;
  if (ioctl(fd, TCSETS2, &line) < 0) return outcome(env, -1);
  // What came while the line was set otherwise is not what was sent.
  ioctl(fd, TCFLSH, TCIFLUSH);
  // The driver puts what it did in place of what it was asked for.
  if (ioctl(fd, TCGETS2, &line) < 0) return outcome(env, -1);
  const bool sticky = parity == kMark || parity == kSpace;
  if (sticky && (line.c_cflag & PARENB) && !(line.c_cflag & CMSPAR)) return answer(env, -EOPNOTSUPP);
  return answer(env, line.c_ospeed);
}

napi_value rs485(napi_env env, napi_callback_info info, unsigned long request) {
  Arguments arguments(env, info);
  int fd = -1;
  uint32_t* words = nullptr;
  if (!arguments.fd(&fd) || !arguments.words(kRs485Words, &words)) return nullptr;
  serial_rs485 settings = {};
  memcpy(&settings, words, sizeof settings);
  const int result = ioctl(fd, request, &settings);
  if (result >= 0) memcpy(words, &settings, sizeof settings);
  return outcome(env, result);
}

napi_value set_rs485(napi_env env, napi_callback_info info) { return rs485(env, info, TIOCSRS485); }

napi_value get_rs485(napi_env env, napi_callback_info info) { return rs485(env, info, TIOCGRS485); }

napi_value set_low_latency(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  int fd = -1;
  if (!arguments.fd(&fd)) return nullptr;
  serial_struct settings = {};
  if (ioctl(fd, TIOCGSERIAL, &settings) < 0) return outcome(env, -1);
  if (settings.flags & ASYNC_LOW_LATENCY) return answer(env, 0);
  settings.flags |= ASYNC_LOW_LATENCY;
  return outcome(env, ioctl(fd, TIOCSSERIAL, &settings));
}

/** What `request` reads into an int. */
napi_value number_of(napi_env env, napi_callback_info info, unsigned long request) {
  Arguments arguments(env, info);
  int fd = -1;
  if (!arguments.fd(&fd)) return nullptr;
  int number = 0;
  const int result = ioctl(fd, request, &number);
  return result < 0 ? outcome(env, result) : answer(env, number);
}

/** 0 or 1: what TIOCGEXCL reads. */
napi_value is_exclusive(napi_env env, napi_callback_info info) { return number_of(env, info, TIOCGEXCL); }

napi_value output_bytes(napi_env env, napi_callback_info info) { return number_of(env, info, TIOCOUTQ); }

napi_value modem_lines(napi_env env, napi_callback_info info) { return number_of(env, info, TIOCMGET); }

napi_value discard_output(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  int fd = -1;
  if (!arguments.fd(&fd)) return nullptr;
  return outcome(env, ioctl(fd, TCFLSH, TCOFLUSH));
}

napi_value counts(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  int fd = -1;
  uint32_t* words = nullptr;
  if (!arguments.fd(&fd) || !arguments.words(kCounts, &words)) return nullptr;
  serial_icounter_struct found = {};
  if (ioctl(fd, TIOCGICOUNT, &found) < 0) return outcome(env, -1);
  const int all[kCounts] = {found.frame, found.parity, found.overrun, found.brk, found.buf_overrun, found.rx, found.tx};
  for (size_t i = 0; i < kCounts; i++) words[i] = static_cast<uint32_t>(all[i]);
  return answer(env, 0);
}

napi_value init(napi_env env, napi_value exports) {
  const napi_property_attributes attributes = napi_enumerable;
  const napi_property_descriptor all[] = {
      {"setLine", nullptr, set_line, nullptr, nullptr, nullptr, attributes, nullptr},
      {"setRs485", nullptr, set_rs485, nullptr, nullptr, nullptr, attributes, nullptr},
      {"getRs485", nullptr, get_rs485, nullptr, nullptr, nullptr, attributes, nullptr},
      {"setLowLatency", nullptr, set_low_latency, nullptr, nullptr, nullptr, attributes, nullptr},
      {"isExclusive", nullptr, is_exclusive, nullptr, nullptr, nullptr, attributes, nullptr},
      {"outputBytes", nullptr, output_bytes, nullptr, nullptr, nullptr, attributes, nullptr},
      {"discardOutput", nullptr, discard_output, nullptr, nullptr, nullptr, attributes, nullptr},
      {"modemLines", nullptr, modem_lines, nullptr, nullptr, nullptr, attributes, nullptr},
      {"counts", nullptr, counts, nullptr, nullptr, nullptr, attributes, nullptr},
      {"revision", nullptr, nullptr, nullptr, nullptr, answer(env, kRevision), attributes, nullptr},
  };
  napi_define_properties(env, exports, sizeof all / sizeof all[0], all);
  return exports;
}

}  // namespace

NAPI_MODULE(tty, init)
