/* Account state as bytes and back: what the store keeps of an account. */
#ifndef TIDEMARK_CODEC_STATE_H
#define TIDEMARK_CODEC_STATE_H

#include "tidemark/core/account.h"

/* A blob:

     u8       form, TM_STATE_FORM
     u8       flags: 1 facts follow, 2 the last input is one of `accounts`, 4 stages follow, 8 scores follow
     signed   offset of the last applied record, -1 for none
     varint   series; each: 40 bits of the metric's identity, varint length, so many bytes of tm_series_save
     varint   episodes, ascending by rule; each: u64 rule, then its fields
     facts    when flagged: the fields in the order of tm_facts_draft
     stages   when flagged: varint entries, each: 40 bits of the stage's identity, signed instant less the one before
     scores   when flagged: varint scores, each: 40 bits of its identity, u8 band, varint days kept;
              varint tenures, each: signed day less the one before, 40 bits of the stage, varint version of the card
              (0: none), then 40 bits of the card's identity;
              varint runs, from the first run's signed day on each: varint of twice the zigzag difference in tenths to
              the one before (0 at first), plus one where more than a day lies between, then varint days less two;
              varint 0 where the score was never told, else its tenths and two (1: null was), then the signed day of it
              less that of the last tenure
     u32      tm_checksum of everything before

   Numbers are the varints of bytes.h. The key is not in it: it is the key under which the blob is stored. Encoding what
   was decoded, at the same moment, gives the same bytes. Form 1 had no scores; form 2 had of each identity, band,
   version and card, which are found anew;
   form 3 did not know what was told. */
enum { TM_STATE_FORM = 4, TM_STATE_FORM_FIRST = 1 /* the oldest that is read */ };

/* Appends the account's blob to `out`, without the buckets that are out of reach at `now`. `pack` is the one whose
   metrics account->series follows. The caller looks at out->overflowed. */
void tm_state_encode(const tm_account *account, const tm_pack *pack, const tm_moment *now, tm_buffer *out);

/* Makes the account `key` from its blob. Series of metrics that `pack` does not have are dropped, those it has in
   addition begin empty. TM_OK: the caller owns *ret_account (tm_account_free with `heap`), it is unchanged and stands
   in no agenda. TM_REJECT for bytes that are no state (damaged, or of a later form: the error says which); TM_FATAL
   without memory. */
tm_status tm_state_decode(tm_heap *heap, const tm_pack *pack, tm_slice key, tm_slice blob, tm_account **ret_account,
                          tm_error *error);

#endif
