typedef struct box_s box;
typedef box crate;
typedef box * box_ptr;
box * make(crate * from);
void take(const box * b, box_ptr * out);
struct holds { box * inside; box_ptr other; };
