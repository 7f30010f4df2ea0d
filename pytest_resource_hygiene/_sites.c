/* Where, and for whom, something is made: the walk of the frames. audit.py does the same in Python
 * where this was not compiled; tests/hygiene/engine/test_audit_twins.py holds the two to one another.
 */

#include "_speedups.h"
#include <stddef.h>
#include <structmember.h>

/* The frames themselves. The public functions make an object of each, which costs ten times the look
 * and once more when the function returns, in the time of the user's code. What they look like holds
 * for a minor version, and Cython's modules rely on it as well; for others there is the public way. */
#if PY_VERSION_HEX < 0x030E0000 && defined(__has_include)
#if __has_include(<internal/pycore_frame.h>)
#define Py_BUILD_CORE 1
#include <internal/pycore_frame.h>
#undef Py_BUILD_CORE
#define HAS_BARE_FRAMES
#endif
#endif

PyTypeObject *sites_type = NULL;

/* ---- Where, and for whom, something is made ------------------------------------------------- */

#define MAX_FRAMES 64 /* of those that are not left out */
#define MAX_SEEN 96

#define ANYWHERE (-1) /* as an offset: of a frame that is left out, wherever it is */

/* One frame after the other, with references of one's own. */
typedef struct {
    PyObject *code[MAX_SEEN];
    int offset[MAX_SEEN];
    Py_ssize_t count;
    Py_ssize_t kept; /* how many of them are not left out */
} Frames;

/* Whether the stack ends before the frames of a file; -1 with an exception set. */
static int
ends_at(Sites *self, PyObject *name)
{
    KnownFile *known = &self->known[((size_t)name / sizeof(PyUnicodeObject)) % KNOWN_FILES];
    if (known->name != name) {
        int ends = PySet_Contains(self->stop_files, name);
        if (ends < 0)
            return -1;
        Py_XSETREF(known->name, Py_NewRef(name));
        known->ends = ends;
    }
    return known->ends;
}

/* Returns what `ends_at` does. */
static int
add_frame(Frames *frames, Sites *self, PyCodeObject *code, int offset)
{
    int ends = code->co_filename == self->own_file ? 0 : ends_at(self, code->co_filename);
    int is_kept = !ends && code->co_filename != self->own_file;
    frames->code[frames->count] = Py_NewRef((PyObject *)code);
    frames->offset[frames->count++] = is_kept ? offset : ANYWHERE;
    frames->kept += is_kept;
    return ends;
}

static inline int
has_room(const Frames *frames)
{
    return frames->kept < MAX_FRAMES && frames->count < MAX_SEEN;
}

#ifdef HAS_BARE_FRAMES
typedef _PyInterpreterFrame *Frame;

/* The first frame from this one on that belongs to no call from C, and has begun. */
static inline Frame
complete(Frame frame)
{
    while (frame != NULL && _PyFrame_IsIncomplete(frame))
        frame = frame->previous;
    return frame;
}

static Frame
frame_above(long depth)
{
#if PY_VERSION_HEX >= 0x030D0000
    Frame frame = complete(PyThreadState_Get()->current_frame);
#else
    Frame frame = complete(PyThreadState_Get()->cframe->current_frame);
#endif
    while (frame != NULL && depth-- > 0)
        frame = complete(frame->previous);
    return frame;
}

static inline PyCodeObject *
code_of(Frame frame)
{
#if PY_VERSION_HEX >= 0x030D0000
    return _PyFrame_GetCode(frame);
#else
    return frame->f_code;
#endif
}

static inline int
offset_of(Frame frame)
{
    return (int)(_PyInterpreterFrame_LASTI(frame) * sizeof(_Py_CODEUNIT));
}

/* Looks at nothing but the frames themselves, which are at hand while their functions run. */
static int
is_known(const KnownStack *known, Frame frame)
{
    if (known->stack == NULL)
        return 0;
    for (int i = 0; i < known->count; i++, frame = complete(frame->previous)) {
        if (frame == NULL || (PyObject *)code_of(frame) != known->code[i]
            || (known->offset[i] != ANYWHERE && known->offset[i] != offset_of(frame)))
            return 0;
    }
    return !known->is_whole || frame == NULL;
}

/* By the three innermost frames: one function of a library is called from everywhere. */
static KnownStack *
place_of(Sites *self, Frame frame)
{
    size_t mixed = 0;
    for (int i = 0; i < 3 && frame != NULL; i++, frame = complete(frame->previous))
        mixed = 31 * mixed + (size_t)code_of(frame) / 64 + (size_t)offset_of(frame) / 2;
    return &self->stacks[mixed % KNOWN_STACKS];
}

/* Returns what `ends_at` does. */
static int
collect(Frames *frames, Sites *self, Frame frame)
{
    int ends = 0;
    for (; frame != NULL && !ends && has_room(frames); frame = complete(frame->previous))
        ends = add_frame(frames, self, code_of(frame), offset_of(frame));
    return ends;
}
#else
typedef PyFrameObject *Frame; /* a reference of one's own */

static Frame
frame_above(long depth)
{
    Frame frame = (Frame)Py_XNewRef((PyObject *)PyEval_GetFrame());
    while (frame != NULL && depth-- > 0)
        Py_SETREF(frame, PyFrame_GetBack(frame));
    return frame;
}

static int
collect(Frames *frames, Sites *self, Frame frame)
{
    int ends = 0;
    while (frame != NULL && !ends && has_room(frames)) {
        PyCodeObject *code = PyFrame_GetCode(frame);
        ends = add_frame(frames, self, code, PyFrame_GetLasti(frame));
        Py_DECREF(code);
        Py_SETREF(frame, PyFrame_GetBack(frame));
    }
    Py_XDECREF(frame);
    return ends;
}
#endif

/* What was in its place is dropped last: with code, weak references to it may call anything. */
static void
replace(KnownStack *known, const KnownStack *by)
{
    KnownStack old = *known;
    *known = *by;
    for (int i = 0; old.stack != NULL && i < old.count; i++)
        Py_DECREF(old.code[i]);
    Py_XDECREF(old.stack);
}

static void
forget_stacks(Sites *self)
{
    static const KnownStack none;
    for (int i = 0; i < KNOWN_STACKS; i++)
        replace(&self->stacks[i], &none);
}

#ifdef HAS_BARE_FRAMES
static void
remember(KnownStack *known, const Frames *frames, PyObject *stack, int ends)
{
    if (frames->count > KNOWN_DEPTH)
        return;
    KnownStack fresh;
    for (int i = 0; i < frames->count; i++) {
        fresh.code[i] = Py_NewRef(frames->code[i]);
        fresh.offset[i] = frames->offset[i];
    }
    fresh.count = (int)frames->count;
    fresh.is_whole = !ends;
    fresh.stack = Py_NewRef(stack);
    replace(known, &fresh);
}
#endif

static PyObject *
as_tuple(const Frames *frames)
{
    PyObject *stack = PyTuple_New(2 * frames->kept);
    if (stack == NULL)
        return NULL;
    for (Py_ssize_t i = 0, at = 0; i < frames->count; i++) {
        if (frames->offset[i] == ANYWHERE)
            continue;
        PyObject *offset = PyLong_FromLong(frames->offset[i]);
        if (offset == NULL) {
            Py_DECREF(stack);
            return NULL;
        }
        PyTuple_SET_ITEM(stack, at++, Py_NewRef(frames->code[i]));
        PyTuple_SET_ITEM(stack, at++, offset);
    }
    PyObject_GC_UnTrack(stack); /* code and numbers: nothing that could lead back to it */
    return stack;
}

/* The stack from `depth` frames above the Python function that is running. */
static PyObject *
stack_of(Sites *self, long depth)
{
    Frame frame = frame_above(depth);
#ifdef HAS_BARE_FRAMES
    KnownStack *known = frame == NULL ? NULL : place_of(self, frame);
    if (known != NULL && is_known(known, frame))
        return Py_NewRef(known->stack);
#endif
    Frames frames;
    frames.count = frames.kept = 0;
    int ends = collect(&frames, self, frame);
    PyObject *stack = ends < 0 ? NULL : as_tuple(&frames);
#ifdef HAS_BARE_FRAMES
    if (known != NULL && stack != NULL)
        remember(known, &frames, stack, ends);
#endif
    for (Py_ssize_t i = 0; i < frames.count; i++)
        Py_DECREF(frames.code[i]);
    return stack;
}

PyDoc_STRVAR(site_doc,
"site(what, depth=0, /)\n--\n\n"
"Return the stack, the owner of the context, the window, the maker of the thread, and ``what``.");

/* What passes is over at the end of most tests, as a task is: it does not count as lasting. */
PyObject *
take_down(Sites *self, PyObject *what, long depth, int passes)
{
    if (self->owner_var == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "__init__ was not called");
        return NULL;
    }
    self->pulse++; /* holding the lock: no step is lost */
    self->lasting += !passes;
    PyObject *stack = stack_of(self, depth), *owner = NULL, *parent = NULL, *result = NULL;
    if (stack == NULL || PyContextVar_Get(self->owner_var, Py_None, &owner) < 0)
        goto done;
    if (PyThread_get_thread_ident() == self->main_ident)
        parent = Py_NewRef(Py_None);
    else
        parent = PyObject_CallMethod((PyObject *)self, "maker_of_thread", NULL);
    if (parent != NULL)
        result = PyTuple_Pack(SITE_PARTS, stack, owner, self->window, parent, what);
    /* Thousands of them lie in lists of ours. The collector would go through all, again and again,
     * in the tests of others; a cycle through one of them ends when the recorder forgets it. */
    if (result != NULL)
        PyObject_GC_UnTrack(result);
done:
    Py_XDECREF(stack);
    Py_XDECREF(owner);
    Py_XDECREF(parent);
    return result;
}

static PyObject *
called_site(Sites *self, PyObject *const *args, Py_ssize_t nargs, int passes)
{
    if (nargs < 1 || nargs > 2) {
        PyErr_Format(PyExc_TypeError, "a site takes 1 or 2 arguments, not %zd", nargs);
        return NULL;
    }
    long depth = nargs == 2 ? PyLong_AsLong(args[1]) : 1;
    if (depth == -1 && PyErr_Occurred())
        return NULL;
    return take_down(self, args[0], depth, passes);
}

static PyObject *
site(Sites *self, PyObject *const *args, Py_ssize_t nargs)
{
    return called_site(self, args, nargs, 0);
}

PyDoc_STRVAR(passing_site_doc,
"passing_site(what, depth=0, /)\n--\n\n"
"Return the same of something that is over at the end of most tests, which is asked for then.");

static PyObject *
passing_site(Sites *self, PyObject *const *args, Py_ssize_t nargs)
{
    return called_site(self, args, nargs, 1);
}

static void
forget_files(Sites *self)
{
    for (int i = 0; i < KNOWN_FILES; i++)
        Py_CLEAR(self->known[i].name);
}

PyDoc_STRVAR(stir_doc,
"stir()\n--\n\n"
"Have the pulse differ from that of before: something has happened that is recorded elsewhere.");

static PyObject *
stir(Sites *self, PyObject *unused)
{
    self->pulse++;
    self->lasting++;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(begin_doc,
"begin(owner, /)\n--\n\n"
"Open the window of an owner, who is at work in this context from now on.");

static int
set_at_work(Sites *self, PyObject *window, PyObject *owner)
{
    if (self->owner_var == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "__init__ was not called");
        return -1;
    }
    Py_XSETREF(self->window, Py_NewRef(window));
    PyObject *token = owner == NULL ? NULL : PyContextVar_Set(self->owner_var, owner);
    Py_XDECREF(token);
    return owner != NULL && token == NULL ? -1 : 0;
}

static PyObject *
begin(Sites *self, PyObject *owner)
{
    if (set_at_work(self, owner, owner) < 0)
        return NULL;
    Py_XSETREF(self->begun, Py_NewRef(owner));
    self->begins++;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(end_doc,
"end(owner, window, /)\n--\n\n"
"Open another window, if it is the owner's that is; in the main thread nobody is at work then.");

int
end_window(Sites *self, PyObject *owner, PyObject *window)
{
    if (self->window != owner)
        return 0;
    int is_main = PyThread_get_thread_ident() == self->main_ident;
    return set_at_work(self, window, is_main ? Py_None : NULL);
}

static PyObject *
end(Sites *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 2) {
        PyErr_Format(PyExc_TypeError, "end takes 2 arguments, not %zd", nargs);
        return NULL;
    }
    if (end_window(self, args[0], args[1]) < 0)
        return NULL;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(sites_doc,
"Sites(stop_files, own_file, owner_var, main_ident)\n--\n\n"
"Takes down where things are made, and for whom; audit.py has it in Python, and the words for it.");

static int
sites_init(Sites *self, PyObject *args, PyObject *kwargs)
{
    PyObject *stop_files, *own_file, *owner_var;
    unsigned long main_ident;
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0) {
        PyErr_SetString(PyExc_TypeError, "Sites takes no keywords");
        return -1;
    }
    if (!PyArg_ParseTuple(args, "O!UO!k:Sites", &PyFrozenSet_Type, &stop_files, &own_file,
                          &PyContextVar_Type, &owner_var, &main_ident))
        return -1;
    forget_files(self);
    forget_stacks(self);
    Py_XSETREF(self->stop_files, Py_NewRef(stop_files));
    Py_XSETREF(self->own_file, Py_NewRef(own_file));
    Py_XSETREF(self->owner_var, Py_NewRef(owner_var));
    Py_XSETREF(self->window, Py_NewRef(Py_None));
    Py_XSETREF(self->begun, Py_NewRef(Py_None));
    self->main_ident = main_ident;
    self->pulse++;
    self->lasting++;
    return 0;
}

static int
sites_traverse(Sites *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->stop_files);
    Py_VISIT(self->own_file);
    Py_VISIT(self->owner_var);
    Py_VISIT(self->window);
    Py_VISIT(self->begun);
    return 0;
}

static int
sites_clear(Sites *self)
{
    forget_files(self);
    Py_CLEAR(self->stop_files);
    Py_CLEAR(self->own_file);
    Py_CLEAR(self->owner_var);
    Py_CLEAR(self->window);
    Py_CLEAR(self->begun);
    forget_stacks(self);
    return 0;
}

static void
sites_dealloc(Sites *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    sites_clear(self);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyMethodDef sites_methods[] = {
    {"site", _PyCFunction_CAST(site), METH_FASTCALL, site_doc},
    {"passing_site", _PyCFunction_CAST(passing_site), METH_FASTCALL, passing_site_doc},
    {"stir", _PyCFunction_CAST(stir), METH_NOARGS, stir_doc},
    {"begin", _PyCFunction_CAST(begin), METH_O, begin_doc},
    {"end", _PyCFunction_CAST(end), METH_FASTCALL, end_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef sites_members[] = {
    {"owner_var", T_OBJECT_EX, offsetof(Sites, owner_var), READONLY, NULL},
    {"window", T_OBJECT_EX, offsetof(Sites, window), 0, NULL},
    {"begins", T_ULONGLONG, offsetof(Sites, begins), READONLY, NULL},
    {"begun", T_OBJECT_EX, offsetof(Sites, begun), READONLY, NULL},
    {"pulse", T_ULONGLONG, offsetof(Sites, pulse), READONLY, NULL},
    {"lasting", T_ULONGLONG, offsetof(Sites, lasting), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot sites_slots[] = {
    {Py_tp_doc, (void *)sites_doc},
    {Py_tp_init, sites_init},
    {Py_tp_traverse, sites_traverse},
    {Py_tp_clear, sites_clear},
    {Py_tp_dealloc, sites_dealloc},
    {Py_tp_methods, sites_methods},
    {Py_tp_members, sites_members},
    {0, NULL},
};

static PyType_Spec sites_spec = {
    .name = "pytest_resource_hygiene._speedups.Sites",
    .basicsize = sizeof(Sites),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = sites_slots,
};

int
add_sites(PyObject *module)
{
    sites_type = add_type(module, &sites_spec, "Sites");
    return sites_type == NULL ? -1 : 0;
}
