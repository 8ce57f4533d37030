#include "datagrams.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "limits.h"

namespace dtls {

Datagrams::~Datagrams() { drop_output(); }

BIO* Datagrams::make_bio() {
  const BIO_METHOD* kind = method();
  BIO* bio = kind == nullptr ? nullptr : BIO_new(kind);
  if (bio != nullptr) BIO_set_data(bio, this);
  return bio;
}

Datagram* Datagrams::take() {
  Datagram* taken = first_;
  if (taken == nullptr) return nullptr;
  first_ = taken->next;
  if (first_ == nullptr) last_ = nullptr;
  count_ -= 1;
  return taken;
}

void Datagrams::release(Datagram* datagram) { free(datagram); }

void Datagrams::drop_output() {
  while (Datagram* datagram = take()) release(datagram);
}

// A caller that takes nothing, or no memory, looks to DTLS like a network that loses datagrams.
void Datagrams::push(const char* bytes, size_t length) {
  if (count_ == kOutputDatagramsMax) return;
  auto* datagram = static_cast<Datagram*>(malloc(sizeof(Datagram) + length));
  if (datagram == nullptr) return;
  datagram->next = nullptr;
  datagram->length = length;
  memcpy(datagram->bytes(), bytes, length);
  (last_ == nullptr ? first_ : last_->next) = datagram;
  last_ = datagram;
  count_ += 1;
}

int Datagrams::write(BIO* bio, const char* bytes, int length) {
  BIO_clear_retry_flags(bio);
  auto* self = static_cast<Datagrams*>(BIO_get_data(bio));
  if (self == nullptr || bytes == nullptr || length <= 0) return -1;
  self->push(bytes, static_cast<size_t>(length));
  return length;
}

// What does not fit into OpenSSL's buffer (a record of 16 KiB) is no DTLS and is cut. Nothing to read, and an empty
// datagram, which would be the end of the stream, is "try again".
int Datagrams::read(BIO* bio, char* into, int room) {
  BIO_clear_retry_flags(bio);
  auto* self = static_cast<Datagrams*>(BIO_get_data(bio));
  if (self == nullptr || into == nullptr || room <= 0) return -1;
  if (self->input_ == nullptr || self->input_length_ == 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const size_t length = std::min(self->input_length_, static_cast<size_t>(room));
  memcpy(into, self->input_, length);
  self->withdraw();
  return static_cast<int>(length);
}

long Datagrams::control(BIO* bio, int command, long, void*) {
  auto* self = static_cast<Datagrams*>(BIO_get_data(bio));
  switch (command) {
    case BIO_CTRL_FLUSH:
      return 1;
    // The limit counts the bytes of our datagrams; what IP and UDP add is the caller's.
    case BIO_CTRL_DGRAM_QUERY_MTU:
    case BIO_CTRL_DGRAM_GET_MTU:
    case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
      return self == nullptr ? 0 : static_cast<long>(self->mtu_);
    default:
      return 0;
  }
}

int Datagrams::create(BIO* bio) {
  BIO_set_init(bio, 1);
  return 1;
}

const BIO_METHOD* Datagrams::method() {
  static const BIO_METHOD* const made = [] {
    BIO_METHOD* kind = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "datagrams");
    if (kind == nullptr) return kind;
    BIO_meth_set_write(kind, write);
    BIO_meth_set_read(kind, read);
    BIO_meth_set_ctrl(kind, control);
    BIO_meth_set_create(kind, create);
    return kind;
  }();
  return made;
}

}  // namespace dtls
