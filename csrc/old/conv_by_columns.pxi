# Convolution as a linear layer over the window matrix, the textbook's im2col: for so few windows that weights are most
# of what is read (the last layers of a network, for one image).
#
# Design:
# x_windows (windows x (channel, tap)) is im2col's matrix, and the weights are a matrix as they lie. So y is a linear
# layer's result, dweight and dbias are its gradients, and dx is col2im of its dx: all by the functions for those. The
# weights are read once, are not packed before, and their blocks are shared among the threads, however few images.


cdef object window_matrix(x, weight_shape, y_shape, stride, padding, dilation):
    cols = empty((y_shape[0] * y_shape[2] * y_shape[3], weight_shape[1] * weight_shape[2] * weight_shape[3]), x)
    _im2col(x, weight_shape[2:], stride, padding, dilation, y_shape[2], y_shape[3], cols)
    return cols


cdef object channels_last(x):
    """(n, c, h, w) as rows of channels, one for every pixel."""
    pixels = x.shape[2] * x.shape[3]
    rows = empty((x.shape[0] * pixels, x.shape[1]), x)
    rows.reshape(-1, pixels, x.shape[1])[...] = x.reshape(x.shape[0], x.shape[1], pixels).transpose(0, 2, 1)
    return rows


def conv2d_by_columns(x, weight, bias, stride, padding, dilation, activation, add, y):
    cols = window_matrix(x, weight.shape, y.shape, stride, padding, dilation)
    rows = linear(cols, weight.reshape(weight.shape[0], -1), bias, None)
    n, filters = y.shape[:2]
    y.reshape(n, filters, -1)[...] = rows.reshape(n, y.shape[2] * y.shape[3], filters).transpose(0, 2, 1)
    finish_array(y, add, activation)


def conv2d_dx_by_columns(dy, weight, bias, stride, padding, dilation, dx):
    rows = channels_last(dy)
    cols = empty((rows.shape[0], weight[0].size), dy)
    _linear_dx(rows, weight.reshape(weight.shape[0], -1), cols)
    dx[...] = 0 if bias is None else bias[:, None, None]
    _col2im(cols, weight.shape[2:], stride, padding, dilation, dy.shape[2], dy.shape[3], dx)


def conv2d_dweight_by_columns(dy, x, stride, padding, dilation, dweight, dbias):
    cols = window_matrix(x, dweight.shape, dy.shape, stride, padding, dilation)
    _linear_dweight(channels_last(dy), cols, dweight.reshape(dweight.shape[0], -1), dbias)
