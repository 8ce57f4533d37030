// Serial lines with a device at the end of each: pairs of pseudo terminals, whose other ends are fed and emptied at the
// pace of a line. A pseudo terminal has no baud rate; here 8N1 takes ten bits a byte, to the byte and both ways.
//
//     --ports N --baud B               how many, how fast; their paths are the first line of output, one JSON array
//
// Then each line of standard input is a measurement, and each answer a line of JSON. `key=value`, separated by spaces:
//
//     pids=P,P mqtt=P ms=N warm=N      whose CPU counts, the broker's port (0 = none), for how long, how long before
//     tape=FILE                        FILE.I is what device I says: frames, each with its length before it (two bytes, little endian)
//     burst=N                          how many bytes the driver hands over at a time
//     gap-us=N                         silence behind each frame
//     turn=N turn-byte=B               a frame goes after each N bytes that came (or N bytes B): who answers, or waits for answers
//     ask=1                            the first frame goes without
//     messages=1                       each frame is a message on topic in/PORT: they are counted, and timed from its last byte
//     out=N out-line=N out-qos=Q       messages of N bytes to topic out/PORT; a frame of N bytes each on the line, which they fill
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <termios.h>
#include <unistd.h>

#include "client.h"
#include "clock.h"
#include "cpu.h"
#include "histogram.h"

enum { PORTS_MAX = 64, PIDS_MAX = 32, BITS_PER_BYTE = 10, SENT_MAX = 4096, BURST_MAX = 4096, OUT_MAX = 4096, CHUNK_NS = 1000000 };

typedef struct {
  const uint8_t *bytes;
  int length;
} frame;

typedef struct {
  int fd;
  uint8_t *tape;
  frame *frames; // in it
  long frame_count;
  // To the gateway
  uint64_t due_ns; // of the next burst
  long frame_at;   // the one that is sent, counted from the start of the measurement
  int byte_at;     // in it
  bool may_send;
  uint64_t sent_ns[SENT_MAX]; // when the last byte of frame n went, at n % SENT_MAX
  long received;              // messages
  // From the gateway
  uint64_t taken_ns; // the line has been busy or idle up to then
  int turn_seen;
  // Messages for it
  uint64_t out_due_ns;
} port;

static struct {
  int mqtt, ms, warm, burst, gap_us, turn, turn_byte, ask, messages, out, out_line, out_qos;
  int pids[PIDS_MAX], pid_count;
  char tape[512];
} order;

static network net = {.version = 4};
static port *ports;
static int port_count = 8;
static long baud = 115200;
static uint64_t byte_ns;
static client *subscriber, *publisher;

static long frames_sent, frames_received, bytes_sent, bytes_held, bytes_taken, out_sent, out_acked;
static histogram latency;

static void open_port(port *p) {
  p->fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (p->fd < 0 || grantpt(p->fd) || unlockpt(p->fd)) fail("no pseudo terminal: %s", strerror(errno));
  int slave = open(ptsname(p->fd), O_RDWR | O_NOCTTY);
  struct termios raw;
  if (slave < 0 || tcgetattr(slave, &raw)) fail("%s: %s", ptsname(p->fd), strerror(errno));
  cfmakeraw(&raw); // until the gateway does: nothing is echoed
  tcsetattr(slave, TCSANOW, &raw);
  close(slave);
}

static bool is_open(const port *p) {
  struct pollfd one = {.fd = p->fd};
  return poll(&one, 1, 0) == 0 || !(one.revents & POLLHUP);
}

static void read_tape(port *p) {
  char path[600];
  snprintf(path, sizeof path, "%s.%d", order.tape, (int)(p - ports));
  FILE *file = fopen(path, "r");
  if (!file) fail("%s: %s", path, strerror(errno));
  fseek(file, 0, SEEK_END);
  long size = ftell(file);
  rewind(file);
  p->tape = realloc(p->tape, size);
  p->frames = realloc(p->frames, (size / 3 + 1) * sizeof *p->frames);
  if (!p->tape || !p->frames || fread(p->tape, 1, size, file) != (size_t)size) fail("cannot read %s", path);
  fclose(file);
  p->frame_count = 0;
  for (long at = 0; at + 2 < size; p->frame_count++) {
    int length = p->tape[at] | p->tape[at + 1] << 8;
    p->frames[p->frame_count] = (frame){p->tape + at + 2, length};
    at += 2 + length;
  }
  if (!p->frame_count) fail("%s holds no frame", path);
}

// Bytes of the burst that is due; a frame that needs silence behind it, or an answer, ends it.
static int burst_bytes(const port *p) {
  if (!order.gap_us && !order.turn) return order.burst;
  int rest = p->frames[p->frame_at % p->frame_count].length - p->byte_at;
  return rest < order.burst ? rest : order.burst;
}

// A driver hands bytes over when the last of them has come.
static void schedule_burst(port *p, uint64_t line_free_ns) { p->due_ns = line_free_ns + burst_bytes(p) * byte_ns; }

static void send_burst(port *p, uint64_t now) {
  uint8_t bytes[BURST_MAX];
  int n = 0, length = burst_bytes(p);
  uint64_t silence = 0;
  while (n < length) {
    const frame *f = &p->frames[p->frame_at % p->frame_count];
    int some = f->length - p->byte_at < length - n ? f->length - p->byte_at : length - n;
    memcpy(bytes + n, f->bytes + p->byte_at, some);
    n += some;
    p->byte_at += some;
    if (p->byte_at < f->length) continue;
    p->sent_ns[p->frame_at % SENT_MAX] = now;
    p->frame_at++;
    p->byte_at = 0;
    frames_sent++;
    silence = order.gap_us * 1000ull;
    if (order.turn) p->may_send = false;
  }
  ssize_t written = write(p->fd, bytes, n);
  if (written > 0) bytes_sent += written;
  if (written < n) bytes_held += n - (written > 0 ? written : 0); // an UART would have lost them
  schedule_burst(p, p->due_ns + silence);
}

// Takes what the line had time for; in turns, what a frame's end asks for.
static void take(port *p, uint64_t now) {
  uint8_t bytes[OUT_MAX];
  size_t room = (now - p->taken_ns) / byte_ns;
  if (!room) return;
  if (room > sizeof bytes) room = sizeof bytes;
  ssize_t n = read(p->fd, bytes, room);
  p->taken_ns = n == (ssize_t)room ? p->taken_ns + room * byte_ns : now;
  if (n <= 0) return;
  bytes_taken += n;
  if (!order.turn) return;
  if (order.turn_byte < 0) p->turn_seen += n;
  else for (ssize_t i = 0; i < n; i++) p->turn_seen += bytes[i] == order.turn_byte;
  if (p->turn_seen < order.turn) return;
  p->turn_seen = 0;
  p->may_send = true;
  schedule_burst(p, now);
}

static void publish(port *p) {
  static uint8_t payload[OUT_MAX];
  static uint16_t packet_id;
  uint8_t packet[64];
  int topic = snprintf((char *)packet + 32, 16, "out/%d", (int)(p - ports));
  memset(payload, 'x', order.out);
  int n = 1;
  packet[0] = 0x30 | order.out_qos << 1;
  n += put_length(packet + n, 2 + topic + (order.out_qos ? 2 : 0) + order.out);
  packet[n++] = 0;
  packet[n++] = topic;
  memmove(packet + n, packet + 32, topic);
  n += topic;
  if (order.out_qos) {
    if (++packet_id == 0) packet_id = 1;
    packet[n++] = packet_id >> 8;
    packet[n++] = packet_id;
  }
  client_append_parts(publisher, packet, n, payload, order.out);
  out_sent++;
}

static void on_packet(client *c, uint8_t header, const uint8_t *body, uint32_t length) {
  (void)length;
  if (header == 0x20) {
    if (body[1]) fail("CONNECT was refused: %d", body[1]);
    c->connected = true;
  } else if (header == 0x90) {
    c->subscribed = true;
  } else if (header == 0x40) {
    out_acked++;
  } else if (header >> 4 == 3) {
    int index = 0;
    for (int i = 5; i < 2 + body[1]; i++) index = 10 * index + body[i] - '0'; // behind "in/"
    if (index < 0 || index >= port_count) fail("a message for port %d", index);
    port *p = &ports[index];
    frames_received++;
    histogram_add(&latency, (now_ns() - p->sent_ns[p->received++ % SENT_MAX]) / 1000);
  }
}

static client *dial(client_role role) {
  client *c = client_dial(&net, role, 0);
  while (!c->connected) network_pump(&net, 1000, on_packet);
  return c;
}

static void connect_clients(void) {
  net.port = order.mqtt;
  if (order.messages) {
    subscriber = dial(SUBSCRIBER);
    strcpy(subscriber->topic, "in/+");
    client_subscribe(&net, subscriber);
    while (!subscriber->subscribed) network_pump(&net, 1000, on_packet);
  }
  if (order.out) publisher = dial(PUBLISHER);
}

static void disconnect_clients(void) {
  if (subscriber) client_leave(&net, subscriber);
  if (publisher) client_leave(&net, publisher);
  subscriber = publisher = NULL;
}

static void start_ports(uint64_t now) {
  uint64_t burst_ns = order.burst * byte_ns, message_ns = (order.out_line ? order.out_line : 1) * byte_ns;
  for (int i = 0; i < port_count; i++) {
    port *p = &ports[i];
    p->out_due_ns = now + message_ns * (i + 1) / port_count;
    p->taken_ns = now;
    p->frame_at = p->byte_at = p->received = p->turn_seen = 0;
    p->may_send = !order.turn || order.ask;
    schedule_burst(p, now + burst_ns * i / port_count); // lines are not in step
  }
}

// Everything that is due; returns when the next thing is.
static uint64_t serve(uint64_t now) {
  uint64_t next = now + CHUNK_NS;
  for (int i = 0; i < port_count; i++) {
    port *p = &ports[i];
    if (order.turn || order.out) take(p, now);
    while (p->may_send && p->due_ns <= now) send_burst(p, now);
    if (p->may_send && p->due_ns < next) next = p->due_ns;
    if (!order.out) continue;
    for (; p->out_due_ns <= now; p->out_due_ns += order.out_line * byte_ns) publish(p);
    if (p->out_due_ns < next) next = p->out_due_ns;
  }
  if (publisher && publisher->out_end) client_flush(&net, publisher);
  return next;
}

static void run_until(uint64_t end) {
  for (uint64_t now; (now = now_ns()) < end;) {
    uint64_t next = serve(now);
    now = now_ns();
    uint64_t ns = next > now ? next - now : 0;
    struct pollfd one = {.fd = net.epoll, .events = POLLIN};
    struct timespec wait = {.tv_sec = 0, .tv_nsec = ns};
    if (ppoll(&one, 1, &wait, NULL) > 0) network_pump(&net, 0, on_packet);
  }
}

// Of all processes that count.
typedef struct {
  unsigned long user, system, reads, writes;
} work;

static work work_done(void) {
  work sum = {0};
  for (int i = 0; i < order.pid_count; i++) {
    unsigned long user, system, reads = 0, writes = 0;
    char path[64], text[512];
    read_cpu(order.pids[i], &user, &system);
    snprintf(path, sizeof path, "/proc/%d/io", order.pids[i]);
    FILE *file = fopen(path, "r");
    if (file) {
      text[fread(text, 1, sizeof text - 1, file)] = 0;
      fclose(file);
      sscanf(text, "rchar: %*u wchar: %*u syscr: %lu syscw: %lu", &reads, &writes);
    }
    sum = (work){sum.user + user, sum.system + system, sum.reads + reads, sum.writes + writes};
  }
  return sum;
}

static void measure(void) {
  for (int i = 0; i < port_count; i++) read_tape(&ports[i]);
  connect_clients();
  frames_sent = frames_received = bytes_held = 0;
  uint64_t begin = now_ns();
  start_ports(begin);
  run_until(begin + order.warm * 1000000ull);

  long sent = frames_sent, received = frames_received, sent_bytes = bytes_sent, taken = bytes_taken, out = out_sent, acked = out_acked;
  histogram_clear(&latency);
  work before = work_done();
  uint64_t start = now_ns();
  run_until(start + order.ms * 1000000ull);
  uint64_t end = now_ns();
  work after = work_done();
  long sent_end = frames_sent, received_end = frames_received, bytes_end = bytes_sent, taken_end = bytes_taken, out_end = out_sent,
       acked_end = out_acked;
  histogram timed = latency;

  // What is still on its way belongs to the check for losses.
  for (int i = 0; i < port_count; i++) ports[i].may_send = false;
  long owed = frames_sent;
  uint64_t waited = now_ns() + 10000000000ull;
  while (order.messages && frames_received < owed && now_ns() < waited) network_pump(&net, 20, on_packet);
  long lost = order.messages ? owed - frames_received : 0;
  disconnect_clients();
  for (int i = 0; i < port_count; i++) tcflush(ports[i].fd, TCIOFLUSH);

  double ticks = sysconf(_SC_CLK_TCK);
  printf("{\"seconds\":%.4f,\"userSeconds\":%.2f,\"systemSeconds\":%.2f,\"framesSent\":%ld,\"framesReceived\":%ld,\"lost\":%ld,"
         "\"bytesIn\":%ld,\"bytesHeld\":%ld,\"bytesOut\":%ld,\"outSent\":%ld,\"outAcked\":%ld,\"readCalls\":%lu,\"writeCalls\":%lu,"
         "\"p50Us\":%lu,\"p99Us\":%lu}\n",
         (end - start) / 1e9, (after.user - before.user) / ticks, (after.system - before.system) / ticks, sent_end - sent, received_end - received, lost,
         bytes_end - sent_bytes, bytes_held, taken_end - taken, out_end - out, acked_end - acked, after.reads - before.reads,
         after.writes - before.writes,
         histogram_percentile(&timed, .5), histogram_percentile(&timed, .99));
  fflush(stdout);
}

static void read_order(char *line) {
  memset(&order, 0, sizeof order);
  order.burst = 62;
  order.turn_byte = -1;
  const struct {
    const char *name;
    int *value;
  } numbers[] = {
      {"mqtt", &order.mqtt}, {"ms", &order.ms},           {"warm", &order.warm},
      {"burst", &order.burst},   {"gap-us", &order.gap_us}, {"turn", &order.turn},   {"turn-byte", &order.turn_byte},
      {"ask", &order.ask},       {"messages", &order.messages}, {"out", &order.out}, {"out-line", &order.out_line},
      {"out-qos", &order.out_qos},
  };
  for (char *word = strtok(line, " \n"); word; word = strtok(NULL, " \n")) {
    char *value = strchr(word, '=');
    if (!value) fail("%s is no key=value", word);
    *value++ = 0;
    if (!strcmp(word, "tape")) {
      snprintf(order.tape, sizeof order.tape, "%s", value);
      continue;
    }
    if (!strcmp(word, "pids")) {
      for (char *at = value; *at && order.pid_count < PIDS_MAX; at += *at == ',') order.pids[order.pid_count++] = strtol(at, &at, 10);
      continue;
    }
    size_t i = 0;
    while (i < sizeof numbers / sizeof *numbers && strcmp(word, numbers[i].name)) i++;
    if (i == sizeof numbers / sizeof *numbers) fail("there is no key %s", word);
    *numbers[i].value = atoi(value);
  }
  if (order.burst < 1 || order.burst > BURST_MAX || order.out < 0 || order.out > OUT_MAX || (order.out && order.out_line < 1))
    fail("a number is out of its range");
}

int main(int count, char **arguments) {
  for (int i = 1; i + 1 < count; i += 2) {
    if (!strcmp(arguments[i], "--ports")) port_count = atoi(arguments[i + 1]);
    else if (!strcmp(arguments[i], "--baud")) baud = atol(arguments[i + 1]);
    else exit(2);
  }
  if (port_count < 1 || port_count > PORTS_MAX || baud < 1) exit(2);
  prctl(PR_SET_PDEATHSIG, SIGKILL); // ends with whoever started it
  prctl(PR_SET_TIMERSLACK, 1000);
  byte_ns = BITS_PER_BYTE * 1000000000ull / baud;
  net.epoll = epoll_create1(EPOLL_CLOEXEC);
  ports = calloc(port_count, sizeof *ports);
  for (int i = 0; i < port_count; i++) {
    open_port(&ports[i]);
    printf("%s\"%s\"", i ? "," : "[", ptsname(ports[i].fd));
  }
  puts("]");
  fflush(stdout);

  char line[1024];
  while (fgets(line, sizeof line, stdin)) {
    read_order(line);
    uint64_t waited = now_ns() + 10000000000ull;
    for (int i = 0; i < port_count;) {
      if (is_open(&ports[i])) {
        i++;
      } else if (now_ns() > waited) {
        fail("nobody opened port %d", i);
      } else {
        usleep(10000);
      }
    }
    measure();
  }
}
