/* The account record reader: bytes of an account record → draft of facts. Not on the hot path: a jansson tree. */
#ifndef TIDEMARK_CODEC_ACCOUNTRECORD_H
#define TIDEMARK_CODEC_ACCOUNTRECORD_H

#include "tidemark/base/hash.h"
#include "tidemark/codec/deadreason.h"
#include "tidemark/core/facts.h"

typedef struct tm_account_record {
    tm_slice account;
    bool erase;           /* everything about the account is to be forgotten; the facts are empty */
    tm_facts_draft facts; /* `at` is in it, TM_TIME_NONE when absent */
} tm_account_record;

typedef struct tm_account_record_reader tm_account_record_reader;

/* `user_key` keys the hashes of champions and is copied. NULL without memory. */
tm_account_record_reader *tm_account_record_reader_new(const tm_user_key *user_key);
void tm_account_record_reader_free(tm_account_record_reader *reader); /* NULL is allowed */

/* Reads one record. From Kafka (`files` false): `key` is needed and is the account; `value` absent (data == NULL)
   erases. From files: there is no key (an absent one is fine), and "erase": true beside `at` erases; from Kafka that
   member means nothing.
   TM_OK: *ret_record is filled; its slices are valid until the next call, `account` of an erasure by null value as long
   as the key's bytes. TM_REJECT: *ret_reason and `detail` (always terminated, UTF-8) say why; the caller makes a dead
   letter and goes on. TM_FATAL: out of memory. */
tm_status tm_account_record_read(tm_account_record_reader *reader, tm_slice value, tm_slice key, bool files,
                                 tm_account_record *ret_record, tm_dead_reason *ret_reason,
                                 char detail[TM_DEAD_DETAIL]);

#endif
